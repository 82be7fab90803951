//! The parties of SGP.02 as the commands and the demonstration put them together.

pub mod operator;
