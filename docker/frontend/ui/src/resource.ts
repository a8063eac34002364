// Loading something for a page: states, polling, and again after a lost connection.
import { useEffect, useState } from "preact/hooks";
import { epoch } from "./store";

export interface Resource<T> {
  /** The last good answer; kept while a newer one is loading or has failed. */
  data: T | undefined;
  error: string | undefined;
  reload: () => void;
}

/**
 * Loads when the component appears, whenever key changes, and every pollMs if given.
 * A change of key drops the data, a failed poll does not.
 */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, pollMs?: number): Resource<T> {
  const [state, setState] = useState<{ key: string; data?: T; error?: string }>({ key });
  const [tries, setTries] = useState(0);
  const generation = epoch.value;

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async () => {
      try {
        const data = await load(abort.signal);
        if (!abort.signal.aborted) setState({ key, data });
      } catch (error) {
        if (!abort.signal.aborted) {
          setState((s) => ({ key, error: (error as Error).message, ...(s.key === key && s.data !== undefined ? { data: s.data } : {}) }));
        }
      }
      if (pollMs && !abort.signal.aborted) timer = setTimeout(() => void run(), pollMs);
    };
    void run();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [key, tries, generation, pollMs]);

  const current = state.key === key;
  return {
    data: current ? state.data : undefined,
    error: current ? state.error : undefined,
    reload: () => setTries((n) => n + 1),
  };
}
