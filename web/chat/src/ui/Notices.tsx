import { dismiss, notices } from "../notices";
import { IconButton } from "./icons";

export function Notices() {
  return (
    <div class="notices" role="status" aria-live="polite">
      {notices.value.map(({ id, text, tone, action }) => (
        <div class="notice" data-tone={tone} key={id}>
          <span>{text}</span>
          {action && (
            <button
              type="button"
              class="plain"
              onClick={() => {
                action.run();
                dismiss(id);
              }}
            >
              {action.label}
            </button>
          )}
          <IconButton icon="close" label="Dismiss" onClick={() => dismiss(id)} />
        </div>
      ))}
    </div>
  );
}
