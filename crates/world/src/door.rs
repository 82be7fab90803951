//! APDU -> APDU between a device and its card.

use crate::BoxFuture;

/// The way to one card: a simulated card itself, a reader, a socket, a modem's AT port.
pub trait CardDoor: Send {
    /// Sends one command APDU and waits for the response APDU, status word included.
    ///
    /// A status word that refuses is an answer. [`DoorFault`] says that no answer came.
    fn transmit(&mut self, command: &[u8]) -> impl Future<Output = Result<Vec<u8>, DoorFault>> + Send;

    /// Takes the card's power away and gives it back; gives the answer to reset.
    fn reset(&mut self) -> impl Future<Output = Result<Atr, DoorFault>> + Send;
}

/// A card's answer to reset: ISO/IEC 7816-3 clause 8. Empty where the door does not tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Atr(pub Vec<u8>);

/// No answer came from a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorFault {
    /// There is no card behind the door.
    #[error("no card: {0}; insert one, or start the card simulator")]
    NoCard(String),
    /// The door broke while the card was in use. The command may have been acted upon.
    #[error(
        "the connection to the card is broken: {0}; reset the card and look at its state before repeating"
    )]
    Broken(String),
    /// The card did not answer in time. The command may have been acted upon.
    #[error("the card did not answer in time: {0}; reset the card and look at its state before repeating")]
    Timeout(String),
    /// What came through the door is not an APDU, or does not fit through it.
    #[error("not an APDU: {0}; check that a card, and not something else, is behind this door")]
    Garbled(String),
    /// The card itself failed, for instance because its memory could not be written.
    #[error("the card failed: {0}")]
    Card(String),
}

/// Any door, with its type forgotten.
pub struct BoxCardDoor(Box<dyn DynCardDoor>);

impl BoxCardDoor {
    /// Forgets the type of `door`.
    pub fn new(door: impl CardDoor + 'static) -> Self {
        Self(Box::new(door))
    }
}

impl CardDoor for BoxCardDoor {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        self.0.transmit_boxed(command).await
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        self.0.reset_boxed().await
    }
}

impl<D: CardDoor> CardDoor for &mut D {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
        (**self).transmit(command).await
    }

    async fn reset(&mut self) -> Result<Atr, DoorFault> {
        (**self).reset().await
    }
}

/// [`CardDoor`] in the shape that a trait object needs.
trait DynCardDoor: Send {
    fn transmit_boxed<'a>(&'a mut self, command: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, DoorFault>>;
    fn reset_boxed(&mut self) -> BoxFuture<'_, Result<Atr, DoorFault>>;
}

impl<D: CardDoor> DynCardDoor for D {
    fn transmit_boxed<'a>(&'a mut self, command: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, DoorFault>> {
        Box::pin(self.transmit(command))
    }

    fn reset_boxed(&mut self) -> BoxFuture<'_, Result<Atr, DoorFault>> {
        Box::pin(self.reset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers every command with its last two bytes.
    struct Echo;

    impl CardDoor for Echo {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, DoorFault> {
            Ok(command.iter().rev().take(2).rev().copied().collect())
        }

        async fn reset(&mut self) -> Result<Atr, DoorFault> {
            Ok(Atr(vec![0x3b]))
        }
    }

    #[tokio::test]
    async fn a_boxed_door_is_the_same_door() {
        let mut door = BoxCardDoor::new(Echo);
        assert_eq!(door.transmit(&[1, 2, 3, 4]).await, Ok(vec![3, 4]));
        assert_eq!(door.reset().await, Ok(Atr(vec![0x3b])));
    }
}
