// A canvas that is drawn again when its size or the colour scheme changes.
import { useEffect, useRef } from "preact/hooks";

export interface Drawing {
  context: CanvasRenderingContext2D;
  width: number;
  height: number;
  /** A colour of the style by the name of its variable, as a canvas takes it. */
  colour: (name: string) => string;
}

/** Draws with `draw`, again when one of `needs` changes. */
export function Drawn({ draw, needs }: { draw: (on: Drawing) => void; needs: readonly unknown[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const element = canvas.current;
    const context = element?.getContext("2d");
    if (!element || !context) return;
    const again = () => {
      const width = Math.max(1, element.clientWidth);
      const height = Math.max(1, element.clientHeight);
      element.width = width * devicePixelRatio;
      element.height = height * devicePixelRatio;
      context.scale(devicePixelRatio, devicePixelRatio);
      draw({ context, width, height, colour: coloursOf(element) });
    };
    again();
    const watched = new ResizeObserver(again);
    watched.observe(element);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", again);
    return () => {
      watched.disconnect();
      scheme.removeEventListener("change", again);
    };
  }, needs);
  return <canvas ref={canvas} aria-hidden="true" />;
}

function coloursOf(element: HTMLElement): (name: string) => string {
  const known = new Map<string, string>();
  return (name) => {
    let colour = known.get(name);
    if (colour === undefined) {
      element.style.color = `var(${name})`;
      colour = getComputedStyle(element).color;
      known.set(name, colour);
    }
    return colour;
  };
}
