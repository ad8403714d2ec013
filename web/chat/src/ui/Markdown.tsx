import { useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { memo } from "./memo";
import { type Block, Growing, toBlocks } from "../markdown";
import { Icon } from "./icons";

/** `grows`: the text is being written. When it is done, it is read once more as a whole, since a link may be defined below its use. */
export function Markdown({ text, grows }: { text: string; grows: boolean }) {
  const growing = useRef<Growing | null>(null);
  const blocks = useMemo(() => {
    if (!grows) return toBlocks(text);
    growing.current ??= new Growing();
    return growing.current.update(text);
  }, [text, grows]);
  return (
    <div class="prose">
      {blocks.map((block, index) => (
        <BlockView block={block} key={index} />
      ))}
    </div>
  );
}

/** Blocks that are done are the same objects each time, and are not rendered again. */
const BlockView = memo(({ block }: { block: Block }) => {
  if (block.kind === "code") return <Code language={block.language} text={block.text} />;
  const html = { __html: block.html };
  if (block.kind === "html") return <div dangerouslySetInnerHTML={html} />;
  return <div class="wide" role="region" aria-label="Table" tabIndex={0} dangerouslySetInnerHTML={html} />;
});

function Code({ language, text }: { language: string; text: string }) {
  const name = language || "Code";
  return (
    <figure class="code">
      <figcaption>
        <span>{name}</span>
        <CopyButton text={text} label="Copy the code" />
      </figcaption>
      <pre tabIndex={0} aria-label={name}>
        <code>{text}</code>
      </pre>
    </figure>
  );
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const copied = useSignal(false);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    copied.value = true;
    setTimeout(() => (copied.value = false), 1500);
  };
  return (
    <button type="button" class="icon-button" aria-label={copied.value ? "Copied" : label} title={label} onClick={() => void copy()}>
      <Icon name={copied.value ? "done" : "copy"} />
    </button>
  );
}
