// Conditions on spans as people type them: `span.status=error span.duration_ms>500 gen_ai.request.model="a b"`.
export interface Condition {
  key: string;
  op: "eq" | "ne" | "gt" | "lt";
  value: string | number;
}

const PART = /\s*([^\s=!<>"]+)\s*(!=|=|>|<)\s*("(?:[^"\\]|\\.)*"|[^\s",]*)\s*,?/y;
const OPS = { "=": "eq", "!=": "ne", ">": "gt", "<": "lt" } as const;

/** The conditions, or what is wrong with the text. A value without quotes that is a number is compared as one. */
export function parsed(text: string): { conditions: Condition[]; problem: string } {
  const conditions: Condition[] = [];
  PART.lastIndex = 0;
  let at = 0;
  while (at < text.length && text.slice(at).trim() !== "") {
    PART.lastIndex = at;
    const found = PART.exec(text);
    if (!found) return { conditions, problem: `A condition is expected at “${text.slice(at).trim().slice(0, 40)}”, such as span.status=error or span.duration_ms>500.` };
    at = PART.lastIndex;
    const [, key = "", op = "=", raw = ""] = found;
    conditions.push({ key, op: OPS[op as keyof typeof OPS], value: valueOf(raw) });
  }
  return { conditions, problem: "" };
}

function valueOf(raw: string): string | number {
  if (raw.startsWith('"')) return raw.slice(1, -1).replace(/\\(.)/g, "$1");
  return raw !== "" && Number.isFinite(Number(raw)) ? Number(raw) : raw;
}
