// What a place has asked the server for: the answer, or why there is none.
import { useEffect, useState } from "preact/hooks";
import { HttpError } from "./http.ts";

export interface Loaded<T> {
  value?: T;
  error?: HttpError;
  isLoading: boolean;
}

/** Asks again when `key` changes, and keeps showing the previous answer until then. A busy server is asked again. */
export function useLoaded<T>(key: string, ask: (signal: AbortSignal) => Promise<T>): Loaded<T> & { again: () => void } {
  const [found, setFound] = useState<Loaded<T>>({ isLoading: true });
  const [round, setRound] = useState(0);
  useEffect(() => {
    const control = new AbortController();
    let waiting: ReturnType<typeof setTimeout> | undefined;
    setFound((before) => ({ ...before, isLoading: true }));
    ask(control.signal).then(
      (value) => {
        if (!control.signal.aborted) setFound({ value, isLoading: false });
      },
      (error: unknown) => {
        if (control.signal.aborted) return;
        const known = error instanceof HttpError ? error : new HttpError(0, String(error), 0);
        setFound((before) => ({ ...before, error: known, isLoading: false }));
        const wait = known.status === 0 || known.status === 429 || known.status === 503 ? Math.max(1, known.retryAfterS) : 0;
        if (wait > 0) waiting = setTimeout(() => setRound((one) => one + 1), wait * 1000);
      },
    );
    return () => {
      control.abort();
      clearTimeout(waiting);
    };
  }, [key, round]);
  return { ...found, again: () => setRound((one) => one + 1) };
}
