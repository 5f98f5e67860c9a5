// Shows how loud a stream is, as the CSS variable `--level` (0 to 1) of an element: no render per frame.
import { useEffect, type RefObject } from 'react';
import { levelOf, smooth } from '../model/level';

export function useLevel(stream: MediaStream | null, element: RefObject<HTMLElement | null>): void {
  useEffect(() => {
    const target = element.current;
    if (!stream || !target) return;
    const context = new AudioContext();
    const analyser = new AnalyserNode(context, { fftSize: 1024 });
    context.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let shown = 0;
    let frame = requestAnimationFrame(function draw() {
      analyser.getFloatTimeDomainData(samples);
      shown = smooth(shown, levelOf(samples));
      target.style.setProperty('--level', shown.toFixed(3));
      frame = requestAnimationFrame(draw);
    });
    return () => {
      cancelAnimationFrame(frame);
      target.style.setProperty('--level', '0');
      void context.close();
    };
  }, [stream, element]);
}
