//! SMPP: the framing of a stream of PDUs, short messages, and names of messages.

use net::smpp::pdu::{self, Frame, Sm};

pub(crate) fn run(octets: &[u8]) -> bool {
    let mut stream = octets.to_vec();
    let mut accepted = false;
    // Every frame takes at least a header, so this ends.
    while let Ok(Some(frame)) = Frame::take(&mut stream) {
        assert_eq!(Frame::take(&mut frame.to_bytes()).ok().flatten().as_ref(), Some(&frame));
        if let Ok(message) = Sm::parse(&frame.body) {
            let _ = message.message();
            let again = Sm::parse(&message.to_bytes());
            assert_eq!(again.as_ref(), Ok(&message), "parsed again");
        }
        let _ = pdu::read_message_id(&frame.body);
        let _ = pdu::read_named_message(frame.command, &frame.body);
        let _ = (pdu::name(frame.status), pdu::meaning(frame.status));
        accepted = true;
    }
    accepted
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    [
        // enquire_link, bind_transceiver, submit_sm with a user data header, deliver_sm_resp.
        "00000010000000150000000000000001",
        "0000001E00000009000000000000000273797300707700000034000000",
        "00000039000000040000000000000003000101343931303000010131323300407FF60000000000F6000B0270000007AA0522038001010000",
        "000000118000000500000000000000040000",
    ]
    .iter()
    .filter_map(|digits| hex::decode(digits).ok())
    .map(|mut frame| {
        // The length of the frame.
        let length = u32::try_from(frame.len()).unwrap_or_default().to_be_bytes();
        frame.splice(..4, length);
        frame
    })
    .collect()
}
