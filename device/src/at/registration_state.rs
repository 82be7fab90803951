//! The registration state of the modem: TS 27.007 section 10.1.22.

/// The state of a modem that is not registered but should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RegistrationState {
    /// `<stat>` 0: no search, because the card does not permit it.
    NoCard,
    /// `<stat>` 2: the modem searches for a network.
    Searching,
    /// `<stat>` 3: a network has refused the registration.
    Denied,
}
