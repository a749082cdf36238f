// Which words of one text are not in the other.
import { diffWordsWithSpace } from "diff";
import { visible } from "../format.ts";

export interface Part {
  kind: "same" | "removed" | "added";
  text: string;
}

const LONG = 20_000;
const PATIENCE_MS = 200;

/** Long or very different texts are shown one after the other. */
export function words(from: string, to: string): Part[] {
  const [first, second] = [cut(from), cut(to)];
  const found = diffWordsWithSpace(first, second, { timeout: PATIENCE_MS });
  if (!found) return [{ kind: "removed", text: first } as Part, { kind: "added", text: second } as Part].filter((one) => one.text !== "");
  return found.map((one) => ({ kind: one.added ? "added" : one.removed ? "removed" : "same", text: one.value }));
}

function cut(text: string): string {
  const shown = visible(text);
  return shown.length > LONG ? `${shown.slice(0, LONG)}… (${shown.length - LONG} more characters)` : shown;
}
