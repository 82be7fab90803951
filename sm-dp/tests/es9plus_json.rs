//! Tests of ES9+ in the JSON binding.

mod es9plus;
mod support;
