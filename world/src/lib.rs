//! The outside, as traits: clock, dice, durable records, links, events; memory versions of each.
