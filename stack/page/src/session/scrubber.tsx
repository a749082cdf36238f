import { useEffect, useRef, useState } from "preact/hooks";
import { coloursOf } from "../colours.ts";
import { duration } from "../format.ts";
import { type Frame, frameAt } from "./playback.ts";

const SPEEDS = [0.25, 0.5, 1, 2, 5, 10];
const BARS = 400;

interface Props {
  frames: Frame[];
  times: number[];
  index: number;
  show: (index: number) => void;
}

/** Goes by frame (← →), by step (with shift), by turn ([ ]), and plays (space). */
export function Scrubber({ frames, times, index, show }: Props) {
  const [speed, setSpeed] = useState(1);
  const [isPlaying, setPlaying] = useState(false);
  const now = useRef({ index, show, frames, times });
  now.current = { index, show, frames, times };

  useEffect(() => {
    if (!isPlaying) return;
    const { index: first, times: all } = now.current;
    const from = first < 0 || first >= all.length - 1 ? 0 : (all[first] ?? 0);
    const began = performance.now();
    let running = requestAnimationFrame(function step() {
      const to = from + (performance.now() - began) * speed;
      const { index: shown, times: known } = now.current;
      const next = Math.max(0, frameAt(known, to));
      if (next !== shown) now.current.show(next);
      if (next >= known.length - 1) setPlaying(false);
      else running = requestAnimationFrame(step);
    });
    return () => cancelAnimationFrame(running);
  }, [isPlaying, speed]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target instanceof Element ? event.target : null;
      if (event.ctrlKey || event.metaKey || event.altKey || target?.closest("input, textarea, select")) return;
      const { index: at, frames: all, show: to } = now.current;
      const here = at < 0 ? all.length - 1 : at;
      const moves: Record<string, () => number> = {
        ArrowLeft: () => (event.shiftKey ? other(all, here, -1, stepOf) : here - 1),
        ArrowRight: () => (event.shiftKey ? other(all, here, 1, stepOf) : here + 1),
        "[": () => other(all, here, -1, turnOf),
        "]": () => other(all, here, 1, turnOf),
      };
      const move = moves[event.key];
      if (move) {
        event.preventDefault();
        setPlaying(false);
        to(move());
      } else if (event.key === " " && !target?.closest("button, summary, a")) {
        event.preventDefault();
        setPlaying((before) => !before);
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  const shown = index < 0 ? frames.length - 1 : index;
  const frame = frames[shown];
  return (
    <footer class="scrubber">
      <button type="button" aria-label={isPlaying ? "Pause" : "Play"} title="space" onClick={() => setPlaying(!isPlaying)}>
        {isPlaying ? "❚❚" : "▶"}
      </button>
      <select aria-label="Speed" value={speed} onChange={(event) => setSpeed(Number(event.currentTarget.value))}>
        {SPEEDS.map((one) => (
          <option value={one}>{one}×</option>
        ))}
      </select>
      <div class="track">
        <Bars frames={frames} />
        <input
          type="range"
          min={0}
          max={frames.length - 1}
          value={shown}
          aria-label="Frame"
          aria-valuetext={frame && `turn ${frame[0]}, frame ${frame[2]}`}
          onInput={(event) => {
            setPlaying(false);
            show(Number(event.currentTarget.value));
          }}
        />
      </div>
      <span class="where">
        {frame && `turn ${frame[0]} · frame ${frame[2]} · ${duration(times[shown] ?? 0)}`}
      </span>
    </footer>
  );
}

const stepOf = (frame: Frame | undefined) => (frame ? `${frame[0]}.${frame[2].split(".")[0]}` : "");
const turnOf = (frame: Frame | undefined) => (frame ? String(frame[0]) : "");

/** The first frame of the next group, or of this one, or of the one before it. */
function other(frames: Frame[], from: number, by: 1 | -1, group: (frame: Frame | undefined) => string): number {
  let to = from;
  if (by === 1) {
    while (to < frames.length - 1 && group(frames[to]) === group(frames[from])) to += 1;
    return to;
  }
  if (to > 0 && group(frames[to - 1]) !== group(frames[to])) to -= 1;
  while (to > 0 && group(frames[to - 1]) === group(frames[to])) to -= 1;
  return to;
}

/** What kinds of frames are where, at most one bar for each pixel or so. */
function Bars({ frames }: { frames: Frame[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    const draw = () => {
      const width = Math.max(1, element.clientWidth);
      const height = Math.max(1, element.clientHeight);
      element.width = width * devicePixelRatio;
      element.height = height * devicePixelRatio;
      context.scale(devicePixelRatio, devicePixelRatio);
      const colours = coloursOf(element);
      const bars = Math.min(frames.length, Math.max(BARS, width));
      for (let bar = 0; bar < bars; bar += 1) {
        const first = Math.floor((bar * frames.length) / bars);
        const kind = frames[first]?.[3].event?.payload.event_type ?? "error";
        const isPiece = kind === "step_progress";
        context.fillStyle = colours(COLOURS[kind] ?? "--bad");
        const part = width / bars;
        context.fillRect(bar * part, isPiece ? height * 0.45 : 0, Math.max(0.5, part - (part > 3 ? 1 : 0)), height);
      }
    };
    draw();
    const watched = new ResizeObserver(draw);
    watched.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", draw);
    return () => {
      watched.disconnect();
      scheme.removeEventListener("change", draw);
    };
  }, [frames]);
  return <canvas ref={canvas} aria-hidden="true" />;
}

const COLOURS: Record<string, string> = {
  turn_start: "--text",
  turn_complete: "--good",
  turn_awaiting_input: "--warn",
  step_start: "--tool",
  step_complete: "--tool",
  step_progress: "--accent",
};
