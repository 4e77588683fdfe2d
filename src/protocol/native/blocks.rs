//! The blocks of a streamed answer: which have begun, which are open, and the numbers under which they go on.
//!
//! SDKs append a block when it begins and find it by its number afterwards. So numbers go on without holes and none
//! twice, whatever numbers come.
//! This file must not know how an event is written.

/// The blocks that have begun, in their order.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    begun: Vec<Block>,
    /// How many of them go on to the client.
    passed: u64,
}

#[derive(Debug)]
pub(super) struct Block {
    theirs: u64,
    /// The number under which it goes on; `None` when it is left out.
    pub(super) number: Option<u64>,
    pub(super) is_open: bool,
    /// What came with the beginning, as long as no piece of it has followed.
    pub(super) unsaid: Option<Unsaid>,
    pub(super) is_call: bool,
}

/// What some servers say with the beginning of a block, where Claude Code does not look for it.
#[derive(Debug)]
pub(super) enum Unsaid {
    /// The input of a call, as JSON.
    Input(String),
    /// The signature of a thought.
    Signature(String),
}

impl Blocks {
    /// A block begins; gives the number under which it goes on.
    pub(super) fn begin(&mut self, theirs: u64, is_call: bool, unsaid: Option<Unsaid>) -> u64 {
        let number = self.passed;
        self.passed += 1;
        self.begun.push(Block {
            theirs,
            number: Some(number),
            is_open: true,
            unsaid,
            is_call,
        });
        number
    }

    /// A block begins of which nothing goes on.
    pub(super) fn leave_out(&mut self, theirs: u64) {
        self.begun.push(Block {
            theirs,
            number: None,
            is_open: true,
            unsaid: None,
            is_call: false,
        });
    }

    /// Whether any goes on to the client.
    pub(super) fn any_passed(&self) -> bool {
        self.passed > 0
    }

    /// The block that was last begun under a number.
    pub(super) fn find(&mut self, theirs: u64) -> Option<&mut Block> {
        let mut newest = self.begun.iter_mut().rev();
        newest.find(|block| block.theirs == theirs)
    }

    /// The blocks that are open and go on.
    pub(super) fn open(&mut self) -> impl Iterator<Item = (&mut Block, u64)> {
        let open = self.begun.iter_mut().filter(|block| block.is_open);
        open.filter_map(|block| block.number.map(|number| (block, number)))
    }

    /// Whether a piece of a block goes on under the number that it came with, without a further look.
    pub(super) fn is_plain(&self, theirs: u64) -> bool {
        self.begun.last().is_some_and(|block| {
            block.theirs == theirs
                && block.number == Some(theirs)
                && block.is_open
                && block.unsaid.is_none()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_go_on_one_after_another_whatever_their_numbers() {
        let mut blocks = Blocks::default();
        assert_eq!(blocks.begin(0, false, None), 0);
        assert!(blocks.is_plain(0) && !blocks.is_plain(1));
        blocks.leave_out(1);
        assert!(!blocks.is_plain(1), "it is left out");
        assert_eq!(blocks.begin(5, true, None), 1);
        assert!(!blocks.is_plain(5), "it goes on under another number");
        assert_eq!(blocks.find(5).and_then(|block| block.number), Some(1));
        assert_eq!(blocks.find(1).and_then(|block| block.number), None);
        assert!(blocks.find(2).is_none());
        assert_eq!(blocks.begin(0, false, None), 2, "a number comes again");
        assert_eq!(blocks.find(0).and_then(|block| block.number), Some(2));
        blocks.find(5).unwrap().is_open = false;
        let open: Vec<u64> = blocks.open().map(|(_, number)| number).collect();
        assert_eq!(open, [0, 2]);
    }

    #[test]
    fn a_call_whose_input_came_with_its_beginning_is_looked_at() {
        let mut blocks = Blocks::default();
        let input = Unsaid::Input("{\"a\":1}".to_owned());
        blocks.begin(0, true, Some(input));
        assert!(!blocks.is_plain(0));
        blocks.find(0).unwrap().unsaid = None;
        assert!(blocks.is_plain(0));
        blocks.find(0).unwrap().is_open = false;
        assert!(!blocks.is_plain(0), "it has ended");
    }
}
