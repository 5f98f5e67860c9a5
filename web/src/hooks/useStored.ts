// A value that this browser remembers.
import { useCallback, useState } from 'react';

const PREFIX = 'origo.';

export function useStored<T>(key: string, initial: T): [T, (value: T) => void] {
  const [value, setValue] = useState<T>(() => readStored(key) ?? initial);
  const store = useCallback(
    (next: T) => {
      setValue(next);
      try {
        localStorage.setItem(PREFIX + key, JSON.stringify(next));
      } catch {
        // A browser that keeps nothing (private mode, full) still joins calls.
      }
    },
    [key],
  );
  return [value, store];
}

function readStored<T>(key: string): T | null {
  try {
    const stored = localStorage.getItem(PREFIX + key);
    return stored === null ? null : (JSON.parse(stored) as T);
  } catch {
    return null;
  }
}
