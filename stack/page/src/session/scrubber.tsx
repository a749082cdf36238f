import { useEffect, useRef, useState } from "preact/hooks";
import { Drawn, type Drawing } from "../drawing.tsx";
import { duration } from "../format.ts";
import { useKeys } from "../keys.ts";
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
  const now = useRef({ index, show, times });
  now.current = { index, show, times };

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

  useKeys((event, target) => {
    const here = index < 0 ? frames.length - 1 : index;
    const moves: Record<string, () => number> = {
      ArrowLeft: () => (event.shiftKey ? other(frames, here, -1, stepOf) : here - 1),
      ArrowRight: () => (event.shiftKey ? other(frames, here, 1, stepOf) : here + 1),
      "[": () => other(frames, here, -1, turnOf),
      "]": () => other(frames, here, 1, turnOf),
    };
    const move = moves[event.key];
    if (move) {
      setPlaying(false);
      show(move());
      return true;
    }
    if (event.key !== " " || target?.closest("button, summary, a")) return false;
    setPlaying((before) => !before);
    return true;
  });

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
  const draw = ({ context, width, height, colour }: Drawing) => {
    const bars = Math.min(frames.length, Math.max(BARS, width));
    const part = width / bars;
    for (let bar = 0; bar < bars; bar += 1) {
      const first = Math.floor((bar * frames.length) / bars);
      const kind = frames[first]?.[3].event?.payload.event_type ?? "error";
      context.fillStyle = colour(COLOURS[kind] ?? "--bad");
      context.fillRect(bar * part, kind === "step_progress" ? height * 0.45 : 0, Math.max(0.5, part - (part > 3 ? 1 : 0)), height);
    }
  };
  return <Drawn draw={draw} needs={[frames]} />;
}

const COLOURS: Record<string, string> = {
  turn_start: "--text",
  turn_complete: "--good",
  turn_awaiting_input: "--warn",
  step_start: "--tool",
  step_complete: "--tool",
  step_progress: "--accent",
};
