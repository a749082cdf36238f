// Requests to this server. Looking must not make traces, so each carries an unsampled `traceparent`.
import { key } from "./key.tsx";

export class HttpError extends Error {
  constructor(
    readonly status: number,
    detail: string,
    readonly retryAfterS: number,
  ) {
    super(detail);
  }
}

const hex = (length: number) =>
  Array.from(crypto.getRandomValues(new Uint8Array(length)), (one) => one.toString(16).padStart(2, "0")).join("");

export function headers(extra: Record<string, string> = {}): Record<string, string> {
  const known = key();
  return { traceparent: `00-${hex(16)}-${hex(8)}-00`, ...(known === "" ? {} : { authorization: `Bearer ${known}` }), ...extra };
}

/** Raises HttpError, also where the server cannot be reached (status 0). */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { ...init, headers: headers(init.headers as Record<string, string>) });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new HttpError(0, "The server does not answer.", 2);
  }
  if (answer.ok) return answer;
  let detail = `The server answered with ${answer.status}.`;
  try {
    const body = await answer.json();
    const found = body?.detail ?? body?.error?.detail;
    if (typeof found === "string") detail = found;
  } catch {
    // It was not JSON: the status must do.
  }
  throw new HttpError(answer.status, detail, Number(answer.headers.get("retry-after")) || 0);
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await request(path, signal ? { signal } : {});
  return (await answer.json()) as T;
}

export async function postJson<T>(path: string, body: unknown, signal?: AbortSignal): Promise<T> {
  const init: RequestInit = { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const answer = await request(path, signal ? { ...init, signal } : init);
  const text = await answer.text();
  return (text === "" ? undefined : JSON.parse(text)) as T;
}

export function withQuery(path: string, query: Record<string, string | number | undefined>): string {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  return kept.length === 0 ? path : `${path}?${new URLSearchParams(kept.map(([name, value]) => [name, String(value)]))}`;
}
