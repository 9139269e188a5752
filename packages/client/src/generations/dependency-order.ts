/** Computes the order in which components stop and start, and which ones a change touches. Pure. */

interface Node {
  readonly component: string;
  readonly manifest: { readonly requires: Readonly<Record<string, string>> };
}

/** Required components before those that require them; otherwise by name. A cycle, which the planner refuses, ends by name. */
export function dependencyOrder(components: readonly Node[]): string[] {
  const nodes = new Map(components.map((node) => [node.component, node]));
  const order = new Set<string>();
  const open = new Set<string>();
  const visit = (name: string): void => {
    const node = nodes.get(name);
    if (node === undefined || order.has(name) || open.has(name)) return;
    open.add(name);
    Object.keys(node.manifest.requires).sort().forEach(visit);
    order.add(name);
  };
  [...nodes.keys()].sort().forEach(visit);
  return [...order];
}

/** The changed components and all that require one of them, directly or not, since hooks may run programs of required components. */
export function withDependents(changed: Iterable<string>, components: readonly Node[]): Set<string> {
  const affected = new Set(changed);
  for (let grown = true; grown;) {
    grown = false;
    for (const { component, manifest } of components)
      if (!affected.has(component) && Object.keys(manifest.requires).some((name) => affected.has(name))) {
        affected.add(component);
        grown = true;
      }
  }
  return affected;
}
