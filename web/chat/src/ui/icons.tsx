// Line icons on a grid of 20, drawn for this page.

const PATHS = {
  menu: "M3 6h14M3 10h14M3 14h14",
  plus: "M10 4v12M4 10h12",
  send: "M10 16V4M5 9l5-5 5 5",
  stop: "M6 6h8v8H6z",
  close: "M5 5l10 10M15 5L5 15",
  edit: "M4 16l1-4 8-8 3 3-8 8-4 1zM11.5 5.5l3 3",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6M8.7 9v4M11.3 9v4",
  save: "M10 3v9M6 9l4 4 4-4M4 16h12",
  open: "M10 13V4M6 7l4-4 4 4M4 16h12",
  copy: "M7 7V4h9v9h-3M4 7h9v9H4z",
  done: "M4 10.5l4 4 8-9",
  again: "M15.5 8A6 6 0 1 0 16 11M16 4v4h-4",
  settings: "M3 6h8M15 6h2M3 14h2M9 14h8M13 4v4M7 12v4",
  shield: "M10 3l6 2v5c0 3.5-2.5 6-6 7-3.5-1-6-3.5-6-7V5z M7.5 10l2 2 3.5-4",
  light: "M10 7a3 3 0 1 0 0 6 3 3 0 0 0 0-6M10 2v2M10 16v2M2 10h2M16 10h2M4.5 4.5l1.4 1.4M14.1 14.1l1.4 1.4M4.5 15.5l1.4-1.4M14.1 5.9l1.4-1.4",
  dark: "M16 12A6.5 6.5 0 0 1 8 4a6.5 6.5 0 1 0 8 8z",
  system: "M3 4h14v9H3zM8 16h4M10 13v3",
  down: "M10 4v12M5 11l5 5 5-5",
  chip: "M6 6h8v8H6zM8 3v3M12 3v3M8 14v3M12 14v3M3 8h3M3 12h3M14 8h3M14 12h3",
  warning: "M10 3l8 14H2zM10 8v4M10 14.2v.3",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** The mark: a small light over dark water. */
export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path class="flame" d="M16.5 3c1.2 5-6.5 8-6.5 15a6.6 6.6 0 0 0 13 1.6c1-4.600-2-6.800-2.600-10.600-.9 1.400-1.300 2.600-1.200 4.300C17.600 11 17.800 6.600 16.500 3z" />
      <path class="water" d="M7 28c3-1.600 6-1.600 9 0s6 1.600 9 0" />
    </svg>
  );
}

interface ButtonProps {
  icon: IconName;
  label: string;
  onClick: () => void;
  class?: string;
  disabled?: boolean;
  expanded?: boolean;
}

/** A button that shows an icon only, and says its name to whoever asks. */
export function IconButton({ icon, label, onClick, disabled, expanded, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      class={`icon-button ${rest.class ?? ""}`}
      aria-label={label}
      title={label}
      aria-expanded={expanded}
      disabled={disabled}
      onClick={onClick}
    >
      <Icon name={icon} />
    </button>
  );
}
