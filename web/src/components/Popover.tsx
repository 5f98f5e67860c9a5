// A button that opens a small panel; a click elsewhere or Escape closes it.
import { useEffect, useId, useRef, useState, type ReactNode } from 'react';

interface Props {
  /** The name of the panel, and of a button that shows no text. */
  label: string;
  /** The button is named by its own text. */
  texted?: boolean;
  className: string;
  /** What the button shows. */
  button: ReactNode;
  /** Further attributes of the button, such as hooks for tests. */
  attributes?: Record<`data-${string}`, string>;
  align: 'start' | 'end' | 'above';
  children: (close: () => void) => ReactNode;
}

export function Popover({ label, texted = false, className, button, attributes, align, children }: Props) {
  const [open, setOpen] = useState(false);
  const frame = useRef<HTMLDivElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    const outside = (event: PointerEvent) => {
      if (!frame.current?.contains(event.target as Node)) setOpen(false);
    };
    const escape = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return;
      setOpen(false);
      opener.current?.focus();
    };
    document.addEventListener('pointerdown', outside);
    document.addEventListener('keydown', escape);
    return () => {
      document.removeEventListener('pointerdown', outside);
      document.removeEventListener('keydown', escape);
    };
  }, [open]);

  return (
    <div className="popover-frame" ref={frame}>
      <button
        ref={opener}
        type="button"
        className={className}
        aria-label={texted ? undefined : label}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
        {...attributes}
      >
        {button}
      </button>
      {open && (
        <div className={`popover ${align}`} id={id} role="dialog" aria-label={label}>
          {children(() => setOpen(false))}
        </div>
      )}
    </div>
  );
}
