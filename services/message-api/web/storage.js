// What a browser keeps: where that is forbidden or full, it lasts as long as the page.

const keeping = (kept) => {
  const here = new Map();
  return {
    getItem(key) {
      if (here.has(key)) return here.get(key);
      try {
        return kept().getItem(key);
      } catch {
        return null;
      }
    },
    setItem(key, value) {
      try {
        kept().setItem(key, value);
        here.delete(key);
      } catch {
        here.set(key, value);
      }
    },
    removeItem(key) {
      here.delete(key);
      try {
        kept().removeItem(key);
      } catch {
        // Then it holds nothing of ours.
      }
    },
  };
};

/** For this browser. */
export const device = keeping(() => localStorage);

/** For this tab, over reloads. */
export const tab = keeping(() => sessionStorage);
