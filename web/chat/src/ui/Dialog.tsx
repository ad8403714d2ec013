import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { IconButton } from "./icons";
import { dialog, type DialogName } from "./shell";

/** The browser's own modal dialog: it keeps the focus inside, and gives it back when it closes. */
export function Dialog({ name, title, children }: { name: DialogName; title: string; children: ComponentChildren }) {
  const box = useRef<HTMLDialogElement>(null);
  const open = dialog.value === name;
  useEffect(() => {
    if (open) box.current?.showModal();
    else box.current?.close();
  }, [open]);
  const close = () => {
    if (dialog.value === name) dialog.value = null;
  };
  return (
    <dialog
      ref={box}
      aria-labelledby={`${name}-title`}
      onClose={close}
      onClick={(event) => {
        // Beside it.
        if (event.target === box.current) close();
      }}
    >
      {open && (
        <div class="dialog">
          <header>
            <h2 id={`${name}-title`}>{title}</h2>
            <IconButton icon="close" label="Close" onClick={close} />
          </header>
          {children}
        </div>
      )}
    </dialog>
  );
}
