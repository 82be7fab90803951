//! The M2M eUICC: SGP.02. Its SM-SR manages it remotely; the terminal has no management interface.
//!
//! The card description determines the kind of the card. The ISD-R accepts no STORE DATA from the
//! terminal. Data received over the air are unwrapped from their secured packet or HTTPS session
//! and run as a script for the ISD-R, the ECASD or an ISD-P.
//!
//! | part | clause of SGP.02 |
//! |---|---|
//! | `script` | TS 102 226 section 5.2.1.2, annex K |
//! | `isd_r` | ES5: section 4.1.1, one file per function |
//! | `establish`, `ecasd` | key establishment of an ISD-P (4.1.3.1) and of the ISD-R (4.1.1.8): scenario 3 |
//! | `data_groups` | STORE DATA with data groups |
//! | `isd_p` | ES8: sections 4.1.3.2 to 4.1.3.4 (SCP03, SCP03t, installation) |
//! | `switch` | profile switches: sections 3.2 to 3.4 |
//! | `keys`, `put_key` | key sets and PUT KEY; the other state is in `crate::state::m2m` |
//! | `description`, `factory` | the description and the initial state |
//! | `scp80` | section 2.4.3: secured packets in short messages |
//! | `scp81` | section 2.4.4: HTTPS sessions |
//! | `handlers` | types of the functions that the transports call |
//! | `toolkit` | proactive behaviour over TS 102 223 |
//! | `notification`, `delivery` | section 3.15: notifies the SM-SR of the enabled profile |
//! | `fallback` | section 3.16, and roll-back |

pub(crate) mod context;
pub(crate) mod data_groups;
mod delivery;
pub(crate) mod description;
pub(crate) mod ecasd;
pub(crate) mod establish;
pub(crate) mod factory;
pub(crate) mod fallback;
mod handlers;
mod inspection;
pub(crate) mod isd_p;
pub(crate) mod isd_r;
pub mod keys;
pub(crate) mod notification;
pub(crate) mod put_key;
mod scp80;
pub(crate) mod scp81;
pub(crate) mod script;
pub(crate) mod switch;
#[cfg(test)]
mod tests;
pub mod toolkit;

pub use description::{Addressing, FactoryProfile, M2mDescription};
pub use inspection::{StoredIsdP, stored_isd_ps};
