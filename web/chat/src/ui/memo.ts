// A component that is rendered again only when a property is another one.

import { Component, type ComponentChild, type FunctionComponent } from "preact";

export function memo<P extends object>(view: (props: P) => ComponentChild): FunctionComponent<P> {
  class Memo extends Component<P> {
    override shouldComponentUpdate(next: P): boolean {
      const now = this.props as Record<string, unknown>;
      return Object.entries(next).some(([name, value]) => name !== "children" && now[name] !== value);
    }
    override render(props: P): ComponentChild {
      return view(props);
    }
  }
  return Memo as unknown as FunctionComponent<P>;
}
