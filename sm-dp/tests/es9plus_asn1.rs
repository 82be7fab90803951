//! Tests of ES9+ in the ASN.1 binding.

mod es9plus;
mod support;
