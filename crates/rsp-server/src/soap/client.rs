//! Synchronous calls to a peer without a record, for functions that are relayed while their caller
//! waits.

use rsp::sgp02::{Function, Message as _, Request as _, soap};

use super::{accepted::Accepted, decision::Peer, party::CallFailure, response::read_response, shell::Soap};

impl Soap {
    /// Calls a synchronous function of a peer once and waits for as long as the link does. A caller
    /// with less time applies its own timeout around this call, because the shell has no timer.
    ///
    /// # Errors
    /// Fails if no valid response arrives; the error is the reason.
    pub async fn call<F: Function>(
        &self,
        peer: &Peer,
        mut request: F::Request,
    ) -> Result<F::Response, CallFailure> {
        let sender = &self.0.sender;
        let unique = sender.unique();
        let identifier = &mut request.base_mut().function_call_identifier;
        if identifier.is_empty() {
            identifier.clone_from(&unique);
        }
        let now = sender.world.now();
        let mut header = sender.header(now, peer, F::request_action(), &unique);
        header.message_id.transaction_id = Some(unique.clone());
        let text = soap::envelope(&header, peer.namespace, &request);
        let response = self.0.send(&peer.endpoint, &header.action, text).await;
        let response = response.map_err(|fault| CallFailure::Unreachable(fault.to_string()))?;
        let accepted = Accepted::default();
        let message =
            accepted.collect(|| read_response(&response, Some(F::Response::ELEMENT), Some(&unique)));
        let answer = match message {
            Some(message) => accepted
                .collect(|| message.map(|message| F::Response::from_xml(&message)))?
                .map(|(_, response)| response)
                .map_err(|e| CallFailure::Malformed(e.to_string())),
            None => Err(CallFailure::Malformed(format!("HTTP {} without a message", response.status()))),
        };
        self.0.report_response(now, F::NAME, &peer.id, &accepted);
        answer
    }
}
