//! The device that holds the card.
