// Starts the page. While a new version is rolled out its modules may come from two of them and not fit: then it is
// loaded again, once.

import { tab } from "./storage.js";

const PLACE = "began-anew";

try {
  await import("./app.js");
  tab.removeItem(PLACE);
} catch (cause) {
  if (tab.getItem(PLACE)) throw cause;
  tab.setItem(PLACE, "yes");
  location.reload();
}
