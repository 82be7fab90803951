//! APDUs between a device and its card.

use crate::BoxFuture;

/// The interface to one card: a simulated card itself, a reader, a socket, a modem's AT port.
pub trait CardInterface: Send {
    /// Sends one command APDU and waits for the response APDU, including the status word.
    ///
    /// An error status word is a response. [`CardInterfaceFault`] means that there was no response.
    fn transmit(
        &mut self,
        command: &[u8],
    ) -> impl Future<Output = Result<Vec<u8>, CardInterfaceFault>> + Send;

    /// Cycles the card's power and returns the answer to reset.
    fn reset(&mut self) -> impl Future<Output = Result<Atr, CardInterfaceFault>> + Send;
}

/// A card's answer to reset: ISO/IEC 7816-3 clause 8. Empty if the interface does not provide it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Atr(pub Vec<u8>);

/// A failure to obtain a response from a card.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardInterfaceFault {
    /// The card is missing.
    #[error("no card: {0}; insert one, or start the card simulator")]
    NoCard(String),
    /// The connection failed while the card was in use. The command may have been executed.
    #[error("the connection to the card is broken: {0}; reset the card and check its state before repeating")]
    Broken(String),
    /// The card did not respond in time. The command may have been executed.
    #[error("the card did not answer in time: {0}; reset the card and check its state before repeating")]
    Timeout(String),
    /// The data received is not an APDU, or an APDU is too long for the interface.
    #[error("not an APDU: {0}; check that the other end of this connection is a card")]
    Garbled(String),
    /// The card itself failed, for instance because its memory could not be written.
    #[error("the card failed: {0}")]
    Card(String),
}

/// A boxed card interface of any type.
pub struct BoxCardInterface(Box<dyn DynCardInterface>);

impl BoxCardInterface {
    /// Boxes `card_interface`.
    pub fn new(card_interface: impl CardInterface + 'static) -> Self {
        Self(Box::new(card_interface))
    }
}

impl CardInterface for BoxCardInterface {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        self.0.transmit_boxed(command).await
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        self.0.reset_boxed().await
    }
}

impl<D: CardInterface> CardInterface for &mut D {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        (**self).transmit(command).await
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        (**self).reset().await
    }
}

/// An object-safe version of [`CardInterface`].
trait DynCardInterface: Send {
    fn transmit_boxed<'a>(
        &'a mut self,
        command: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, CardInterfaceFault>>;
    fn reset_boxed(&mut self) -> BoxFuture<'_, Result<Atr, CardInterfaceFault>>;
}

impl<D: CardInterface> DynCardInterface for D {
    fn transmit_boxed<'a>(
        &'a mut self,
        command: &'a [u8],
    ) -> BoxFuture<'a, Result<Vec<u8>, CardInterfaceFault>> {
        Box::pin(self.transmit(command))
    }

    fn reset_boxed(&mut self) -> BoxFuture<'_, Result<Atr, CardInterfaceFault>> {
        Box::pin(self.reset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A card that answers every command with its last two bytes.
    struct Echo;

    impl CardInterface for Echo {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            Ok(command.iter().rev().take(2).rev().copied().collect())
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            Ok(Atr(vec![0x3b]))
        }
    }

    #[tokio::test]
    async fn a_boxed_interface_behaves_like_the_original() {
        let mut card_interface = BoxCardInterface::new(Echo);
        assert_eq!(card_interface.transmit(&[1, 2, 3, 4]).await, Ok(vec![3, 4]));
        assert_eq!(card_interface.reset().await, Ok(Atr(vec![0x3b])));
    }
}
