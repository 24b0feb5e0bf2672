// From paths of the native configuration to places of the files that it was made from. On the change's way: so problems of our
// own validation point into nginx.conf, where the operator can mend them.

import type { Locate } from "../problem.ts";
import type { ForeignPlace } from "./adapted.ts";

/** The place of a path, or of the nearest path above it that has one; `otherwise` for what nobody said. */
export function locateIn(places: ReadonlyMap<string, ForeignPlace>, otherwise: ForeignPlace): Locate {
  return (path) => {
    for (let length = path.length; length > 0; length--) {
      const place = places.get(path.slice(0, length).join("\0"));
      if (place !== undefined) return { ...place, path };
    }
    return { ...otherwise, path };
  };
}
