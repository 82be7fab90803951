//! Tests of the toolkit application with a scripted terminal.

mod device;
mod hostile;
mod https;
mod https_link;
mod notifications;
mod power_cuts;
mod sessions;
mod short_messages;
mod terminal;
