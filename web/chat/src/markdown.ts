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

function toBlock(token: Token): Block {
  if (token.type === "code") {
    const { lang, text } = token as Tokens.Code;
    return { kind: "code", language: lang?.split(/\s/)[0] ?? "", text };
  }
  const html = clean(marked.parser([token]));
  return token.type === "table" ? { kind: "table", html } : { kind: "html", html };
}

const isBlock = (token: Token): boolean => token.type !== "space" && token.type !== "def";

/** What was written last, as it was shown when it ended: it need not be read once more. */
let written: { text: string; blocks: Block[] } | null = null;

export function toBlocks(text: string): Block[] {
  return written?.text === text ? written.blocks : marked.lexer(text).filter(isBlock).map(toBlock);
}

/** The blocks of a text that grows at its end. Only what may still change is looked at again. */
export class Growing {
  /** Characters whose blocks are done. */
  private done = 0;
  private text = "";
  private readonly blocks: Block[] = [];
  /** Links are defined, perhaps below their use: only the whole text tells. */
  private defines = false;

  /** The blocks of `text`; cheap if it begins with the text of the call before. */
  update(text: string): Block[] {
    const lines = text.replace(/\r\n?/g, "\n");
    if (!lines.startsWith(this.text)) {
      this.done = 0;
      this.blocks.length = 0;
    }
    this.text = lines;
    const tokens = marked.lexer(lines.slice(this.done));
    this.defines ||= tokens.some((token) => token.type === "def");
    for (const token of tokens.splice(0, firstOpen(tokens))) {
      this.done += token.raw.length;
      if (isBlock(token)) this.blocks.push(toBlock(token));
    }
    const blocks = [...this.blocks, ...tokens.filter(isBlock).map(toBlock)];
    written = this.defines ? null : { text, blocks };
    return blocks;
  }
}

/**
 * The first token that what follows may change: the last block, or the one before while the last
 * is only the beginning of a line (`2` may become the list item `2. …`).
 */
function firstOpen(tokens: Token[]): number {
  const last = tokens.findLastIndex(isBlock);
  const hasLine = tokens.slice(last).some((token) => token.raw.includes("\n"));
  return Math.max(0, hasLine ? last : tokens.slice(0, Math.max(last, 0)).findLastIndex(isBlock));
}
