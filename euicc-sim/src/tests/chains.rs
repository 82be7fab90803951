//! Chains of STORE DATA to the ISD-R: the cost of a long command.

use super::testbed::Testbed;
use crate::state::channel::{Chain, Selection};

/// The chain on the basic channel.
fn chain(selection: &Selection) -> Option<&Chain> {
    if let Selection::IsdR(chain) = selection { chain.as_ref() } else { None }
}

#[test]
fn each_block_of_a_long_chain_is_appended_without_copying_the_blocks_before_it() {
    let mut testbed = Testbed::new();
    testbed.card.transmit(&hex::decode("00A4040010A0000005591010FFFFFFFF8900000100").unwrap());
    let (mut capacity, mut growths) = (0, 0);
    for number in 0..u8::MAX {
        let block = [&[0x80, 0xE2, 0x11, number, 0xFF], [number; 0xFF].as_slice()].concat();
        assert_eq!(testbed.card.transmit(&block), [0x90, 0x00]);
        let before = crate::snapshot(&mut testbed.card.volatile);
        assert!(chain(&before.channels[&0].selection).is_none(), "the snapshot copies the chain");
        let chain = chain(&testbed.card.volatile.channels[&0].selection).unwrap();
        assert_eq!(chain.data.len(), (usize::from(number) + 1) * 0xFF);
        growths += usize::from(chain.data.capacity() != capacity);
        capacity = chain.data.capacity();
    }
    // The capacity of the buffer doubles when it is full. A copy would have no spare capacity, so
    // it would grow with each block.
    assert!(growths <= 10, "255 blocks moved the data {growths} times");
}
