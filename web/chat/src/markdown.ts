// Markdown to safe HTML, block by block: while an answer grows, only its last block changes.

import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";

export type Block =
  | { kind: "html"; html: string }
  | { kind: "code"; language: string; text: string }
  | { kind: "table"; html: string };

const escape = (text: string): string =>
  text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c] ?? c);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    // HTML in an answer is shown, not used.
    html: ({ text }) => escape(text),
    // A picture would be fetched from elsewhere: name it and leave it to the reader.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    // The page has the first two levels for itself.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
    code: ({ text }) => `<pre tabindex="0"><code>${escape(text)}</code></pre>`,
  },
});

const purify = DOMPurify(window);
const ALLOWED = {
  ALLOWED_TAGS: [
    ..."p br hr strong em del code pre blockquote ul ol li a h3 h4 h5 h6".split(" "),
    ..."table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "start", "align", "tabindex"],
  // These are no addresses, and not held against the pattern below.
  ADD_URI_SAFE_ATTR: ["start", "align", "tabindex"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
};
purify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

const clean = (html: string): string => purify.sanitize(html, ALLOWED);

/** By the block's source text: all but the last block of a growing answer are found here. */
const known = new Map<string, Block>();
const MOST_KNOWN = 2000;

function toBlock(token: Token): Block {
  if (token.type === "code") {
    const { lang, text } = token as Tokens.Code;
    return { kind: "code", language: lang?.split(/\s/)[0] ?? "", text };
  }
  const html = clean(marked.parser([token]));
  return token.type === "table" ? { kind: "table", html } : { kind: "html", html };
}

export function toBlocks(text: string): Block[] {
  const tokens = marked.lexer(text);
  // Link definitions change what other blocks mean.
  const plain = Object.keys(tokens.links).length === 0;
  return tokens
    .filter((token) => token.type !== "space" && token.type !== "def")
    .map((token) => {
      const found = plain ? known.get(token.raw) : undefined;
      if (found) return found;
      const block = toBlock(token);
      if (known.size >= MOST_KNOWN) known.clear();
      if (plain) known.set(token.raw, block);
      return block;
    });
}
