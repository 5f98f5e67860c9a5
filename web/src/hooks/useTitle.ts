// The title of the tab during a call.
import { useEffect } from 'react';

const NAME = 'Origo';

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · ${NAME}`;
    return () => {
      document.title = NAME;
    };
  }, [title]);
}
