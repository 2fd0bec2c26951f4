// The largest that is safe to give: a timer of Node ends at once beyond 2147483647 ms, and grpc-js adds up to 10 %
// to a maximum age. So what is longer becomes these 22 days.
const LONGEST_MS = 1_900_800_000;

// Env reads settings from environment variables. A variable that is set to the empty text counts as unset.
// Mistakes are collected, so that one start of the program names all of them; call check before using a value.
export class Env {
  set = {}; // the variables found set, with their text
  #mistakes = [];
  #variables;

  constructor(variables) {
    this.#variables = variables;
  }

  // check throws an error that says of each malformed variable its name, its value and what is expected there.
  check() {
    if (this.#mistakes.length > 0) {
      throw new Error(this.#mistakes.join('\n'));
    }
  }

  // text returns the variable's text, or unset if it has none.
  text(name, unset) {
    const value = this.#variables[name];
    if (!value) {
      return unset;
    }
    this.set[name] = value;
    return value;
  }

  // millis returns a number of milliseconds, at least 1, or unset. There is no way to ask for 0: it means "never" to
  // some gRPC libraries and "at once" to others.
  millis(name, unset) {
    const want = 'a whole number of milliseconds above 0, such as 30000 (leave it unset for the default)';
    const millis = this.number(name, unset, Number.MAX_SAFE_INTEGER, want);
    return millis > LONGEST_MS ? LONGEST_MS : millis;
  }

  // number returns a whole number from 1 to most, or unset; want tells the reader of an error what is expected.
  number(name, unset, most, want) {
    const text = this.text(name);
    if (text === undefined) {
      return unset;
    }
    const number = /^\d+$/.test(text) ? Number(text) : 0;
    if (number < 1 || number > most) {
      this.fail(name, text, want);
      return unset;
    }
    return number;
  }

  // flag returns 1 for "true" and 0 for "false", as grpc-js wants them, or undefined if the variable is unset.
  flag(name) {
    const text = this.text(name);
    if (text === undefined) {
      return undefined;
    }
    if (text !== 'true' && text !== 'false') {
      this.fail(name, text, 'true or false');
    }
    return text === 'true' ? 1 : 0;
  }

  fail(name, value, want) {
    this.#mistakes.push(`${name}=${JSON.stringify(value)}: want ${want}`);
  }
}

// onlySet returns the options without those that are undefined, which grpc-js would take for set.
export function onlySet(options) {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
