import { useEffect, useRef } from "preact/hooks";

/** Calls `pressed` for keys that are not typed into a field and have no modifier but shift. What it acts on is not passed on:
 * it returns whether it did. */
export function useKeys(pressed: (event: KeyboardEvent, target: Element | null) => boolean): void {
  const now = useRef(pressed);
  now.current = pressed;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      if (event.ctrlKey || event.metaKey || event.altKey || target?.closest("input, textarea, select")) return;
      if (now.current(event, target)) event.preventDefault();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
}
