// A component that is rendered again only when a property is another one.

import { Component, type ComponentChild, createElement, type FunctionComponent } from "preact";

export function memo<P extends object>(view: FunctionComponent<P>): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      const names = new Set([...Object.keys(now), ...Object.keys(next)]);
      names.delete("children");
      return [...names].some((name) => now[name] !== (next as Record<string, unknown>)[name]);
    }
    override render(props: P): ComponentChild {
      // A component of its own: signals and state that it reads render it again.
      return createElement(view, props);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
