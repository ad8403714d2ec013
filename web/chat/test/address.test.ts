import { describe, expect, it } from "vitest";
import { modelOrigins, policy } from "../build/policy";
import { covers, fileName, parseAddress, sourcesOf } from "../src/address";

const base = "https://page.example/chat/";

describe("addresses", () => {
  it.each([
    ["https://host.example/a/m.gguf", "https://host.example/a/m.gguf"],
    ["host.example/m.gguf", "https://host.example/m.gguf"],
    ["https://hub.example/who/what/blob/main/m.gguf#x", "https://hub.example/who/what/resolve/main/m.gguf"],
    ["./m.gguf", "https://page.example/chat/m.gguf"],
    ["http://localhost:8000/m.gguf", "http://localhost:8000/m.gguf"],
  ])("%s", (typed, url) => {
    expect(parseAddress(typed, base).href).toBe(url);
  });
  it.each(["m", "", "http://host.example/m.gguf", "file:///m.gguf", "javascript:alert(1)", "https://"])("refuses %j", (typed) => {
    expect(() => parseAddress(typed, base)).toThrow();
  });
  it("names files", () => {
    expect(fileName("https://h.example/a/my%20model.gguf?x=1")).toBe("my model.gguf");
    expect(fileName("https://h.example/100%.gguf")).toBe("100%.gguf");
  });
});

describe("the policy", () => {
  const models = [{ url: "https://hub.example/m.gguf" }, { url: "models/m.gguf" }, { url: "https://hub.example/n.gguf" }];
  const origins = modelOrigins({ models, redirects: ["https://*.cdn.example"] });
  const sources = sourcesOf(policy(origins));

  it("names each host once, and the page's own not by name", () => {
    expect(sources).toEqual(["'self'", "https://hub.example", "https://*.cdn.example"]);
  });
  it.each<[string, boolean]>([
    ["https://page.example/m.gguf", true],
    ["https://hub.example/else.gguf", true],
    ["https://a.cdn.example/x", true],
    ["https://cdn.example/x", false],
    ["https://evilcdn.example/x", false],
    ["http://a.cdn.example/x", false],
    ["https://hub.example:444/x", false],
    ["https://hub.example.evil.example/x", false],
  ])("%s: %s", (url, allowed) => {
    expect(covers(sources, new URL(url), "https://page.example")).toBe(allowed);
  });
});
