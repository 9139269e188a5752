/** The Node entry: what the programs share and is not pure. */
export {};
