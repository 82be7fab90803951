//! What the card does by itself, with a terminal in the test that does what it is told, or does not.

mod device;
mod hostile;
mod https;
mod https_link;
mod notifications;
mod phone;
mod power_cuts;
mod sessions;
mod short_messages;
