//! Tests that truncate a journal at every octet and flip every bit.

use std::ops::Range;

use super::*;

const CELLS: [&str; 4] = ["a", "card", "content/7", "long"];

/// A journal of some batches, with its folder and path, and the cells after each batch.
struct Journal {
    _folder: tempfile::TempDir,
    path: PathBuf,
    /// Length of the file and cells, before the first batch and after each one.
    states: Vec<(usize, Cells)>,
}

impl Journal {
    fn new(batches: impl IntoIterator<Item = Batch>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/card.state");
        let mut journal = Self { _folder: folder, path, states: vec![(0, Cells::new())] };
        let mut memory = journal.open().unwrap();
        for batch in batches {
            let mut cells = journal.states.last().unwrap().1.clone();
            batch.clone().apply_to(&mut cells);
            memory.commit(batch).unwrap();
            journal.states.push((journal.octets().len(), cells));
        }
        journal
    }

    fn open(&self) -> Result<FileMemory, Fault> {
        FileMemory::open(&self.path)
    }

    fn cells(&self) -> Result<Cells, Fault> {
        self.open()?.load()
    }

    fn octets(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }

    /// The expected cells if the file ends at this length.
    fn state_at(&self, length: usize) -> &Cells {
        &self.states.iter().rev().find(|(end, _)| *end <= length).unwrap().1
    }
}

/// Different batches of all shapes.
fn some_batches(count: u8) -> impl Iterator<Item = Batch> {
    (1..=count).map(|number| {
        let mut batch = Batch::of(CELLS[usize::from(number) % 4], vec![number; 3 * usize::from(number)]);
        batch.put("counter", vec![number]);
        if number % 3 == 0 {
            batch.remove(CELLS[usize::from(number) % 2]);
        }
        batch
    })
}

/// A batch that writes one cell.
fn cell(length: usize, octet: u8) -> Batch {
    Batch::of("cell", vec![octet; length])
}

#[test]
fn commits_are_loaded_and_a_missing_file_is_empty() {
    let journal = Journal::new(some_batches(9));
    assert_eq!(journal.cells().unwrap(), journal.states[9].1);
    assert_eq!(FileMemory::open(journal.path.with_extension("other")).unwrap().load().unwrap(), Cells::new());
}

#[test]
fn a_journal_cut_at_any_octet_has_all_complete_batches_and_can_be_continued() {
    let journal = Journal::new(some_batches(7));
    let whole = journal.octets();
    for length in 0..=whole.len() {
        fs::write(&journal.path, &whole[..length]).unwrap();
        // A power cut during a commit leaves no mark of that commit.
        fs::remove_file(Claim::lock_path(&journal.path)).unwrap();
        let mut expected = journal.state_at(length).clone();
        let mut memory = journal.open().unwrap();
        assert_eq!(memory.load().unwrap(), expected, "cut to {length} octets");
        // Commits sync to disk, which is slow. Only the last octets are tested one by one.
        if length % 10 != 0 && length < journal.states[6].0 {
            continue;
        }
        memory.commit(Batch::of("after", vec![1])).unwrap();
        drop(memory);
        expected.insert("after".to_owned(), vec![1].into());
        assert_eq!(journal.cells().unwrap(), expected, "cut to {length} octets");
    }
}

#[test]
fn a_wrong_bit_is_damage_unless_it_is_in_the_last_batch() {
    let journal = Journal::new(some_batches(5));
    let whole = journal.octets();
    let (last, before) = (journal.states[4].0, &journal.states[4].1);
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut wrong = whole.clone();
            wrong[at] ^= 1 << bit;
            match replay(&wrong) {
                Ok(replay) => assert!(at >= last && replay.cells == *before, "bit {bit} of octet {at}"),
                Err(why) => assert!(at < last, "octet {at}: {why}"),
            }
        }
    }
}

#[test]
fn the_live_octets_are_the_length_of_a_journal_of_one_batch() {
    for lengths in [vec![], vec![0], vec![1, 7, 300]] {
        let mut batch = Batch::default();
        for (number, length) in lengths.into_iter().enumerate() {
            batch.put("c".repeat(number + 1), vec![7; length]);
        }
        let mut cells = Cells::new();
        let journal = [header(COMPACTED), batch_octets(1, &batch).unwrap()].concat();
        batch.apply_to(&mut cells);
        assert_eq!(live_octets(&cells), journal.len(), "{} cells", cells.len());
    }
}

#[test]
fn missing_and_reordered_batches_are_damage() {
    let journal = Journal::new(some_batches(3));
    let whole = journal.octets();
    let ends: Vec<usize> = journal.states.iter().map(|(end, _)| *end).collect();
    let start = header(BEGUN).len();
    let parts =
        |ranges: &[Range<usize>]| ranges.iter().flat_map(|range| whole[range.clone()].to_vec()).collect();
    let [first, second, third] = [start..ends[1], ends[1]..ends[2], ends[2]..ends[3]];
    for order in [[first.clone(), third.clone()], [second.clone(), first.clone()], [first.clone(), first]] {
        let octets: Vec<u8> = [whole[..start].to_vec(), parts(&order)].concat();
        fs::write(&journal.path, octets).unwrap();
        assert!(journal.cells().unwrap_err().why.contains("instead of"), "{order:?}");
    }
}

#[test]
fn lost_commits_are_noticed_and_can_be_accepted() {
    let journal = Journal::new(some_batches(4));
    let whole = journal.octets();
    let (third, last) = (journal.states[3].0, journal.states[4].0);
    let mut wrong = whole.clone();
    wrong[last - 1] ^= 1;
    for (case, octets, extent) in [
        ("a wrong bit in the last batch", &wrong[..], "it ends with commit 3"),
        ("truncated in the last batch", &whole[..last - 1], "it ends with commit 3"),
        ("truncated after a batch", &whole[..third], "it ends with commit 3"),
        ("empty", &[], "it has no commit"),
    ] {
        fs::write(&journal.path, octets).unwrap();
        let fault = journal.open().unwrap_err();
        assert!(fault.why.starts_with(&format!("{extent}, although commit 4 was made")), "{case}: {fault}");
        assert!(fault.next.contains("landfall records accept"), "{case}: {fault}");
        assert_eq!(FileMemory::check(&journal.path).unwrap_err().why, fault.why, "{case}");
        assert_eq!(fs::read(&journal.path).unwrap(), octets, "{case}: it is left unchanged");
    }
    fs::remove_file(&journal.path).unwrap();
    assert!(journal.open().unwrap_err().why.contains("commit 4 was made"));

    fs::write(&journal.path, &whole[..third]).unwrap();
    assert_eq!(FileMemory::accept(&journal.path).unwrap(), 3);
    let mut memory = journal.open().unwrap();
    assert_eq!(memory.load().unwrap(), journal.states[3].1);
    memory.commit(cell(1, 1)).unwrap();
    assert_eq!(FileMemory::check(&journal.path).unwrap(), MemoryCheck { last_commit: 4, cells: 4 });
    assert!(FileMemory::accept(&journal.path).unwrap_err().why.contains("another process"));
}

#[test]
fn every_commit_is_marked_and_a_compaction_does_not_raise_the_mark() {
    let (journal, _, _) = compacted();
    let lock = Claim::lock_path(&journal.path);
    let FoundMark::Mark(mark) = CommitMark::read(&File::open(&lock).unwrap()).unwrap() else { panic!() };
    assert_eq!(mark.number, FileMemory::check(&journal.path).unwrap().last_commit);
    // The journal before the compaction and its last commit, as a power cut may leave it.
    let older = Journal::new([]);
    let mut memory = older.open().unwrap();
    let mut before = Vec::new();
    memory.commit(cell(10_000, 3)).unwrap();
    while !older.octets().starts_with(&header(COMPACTED)) {
        before = older.octets();
        memory.commit(cell(10_000, 3)).unwrap();
    }
    let FoundMark::Mark(mark) = CommitMark::read(memory.claim.lock_file()).unwrap() else { panic!() };
    drop(memory);
    let last = mark.number;
    assert_eq!(FileMemory::check(&older.path).unwrap().last_commit, last + 1, "the batch of the compaction");
    fs::write(&older.path, before).unwrap();
    assert!(older.open().unwrap_err().why.contains(&format!("commit {last} was made")));
}

#[test]
fn a_journal_without_a_mark_is_accepted_and_a_damaged_mark_is_not() {
    let journal = Journal::new(some_batches(3));
    let lock = Claim::lock_path(&journal.path);
    fs::write(&lock, "").unwrap();
    assert_eq!(journal.cells().unwrap(), journal.states[3].1);
    fs::remove_file(&lock).unwrap();
    assert_eq!(FileMemory::check(&journal.path).unwrap().last_commit, 3);
    assert_eq!(journal.cells().unwrap(), journal.states[3].1);
    fs::write(&lock, "something else").unwrap();
    assert!(journal.open().unwrap_err().why.contains("card.state.lock is damaged"));
    assert_eq!(FileMemory::accept(&journal.path).unwrap(), 3);
    journal.open().unwrap();
}

#[test]
fn a_mark_that_cannot_be_read_does_not_count_as_missing() {
    let journal = Journal::new(some_batches(1));
    let lock = Claim::lock_path(&journal.path);
    fs::remove_file(&lock).unwrap();
    // A link to itself cannot be opened.
    std::os::unix::fs::symlink(&lock, &lock).unwrap();
    assert!(FileMemory::check(&journal.path).unwrap_err().what.starts_with("cannot use"));
}

#[test]
fn small_changes_add_little_and_outdated_octets_are_compacted() {
    let mut large = Batch::of("image", vec![0xAB; 200_000]);
    large.put("gone", vec![0xCD; 100_000]);
    let journal = Journal::new([large]);
    let mut memory = journal.open().unwrap();
    let before = journal.octets().len();
    memory.commit(cell(100, 1)).unwrap();
    assert!(journal.octets().len() - before < 100 + 64);

    let mut batch = cell(100, 2);
    batch.remove("gone");
    memory.commit(batch).unwrap();
    let mut expected = memory.load().unwrap();
    for number in 0..100u32 {
        let content = number.to_be_bytes().repeat(2500);
        memory.commit(Batch::of("cell", content.clone())).unwrap();
        expected.insert("cell".to_owned(), content.into());
        // At most twice the live octets.
        assert!(journal.octets().len() <= 610_000, "after {number}");
    }
    assert_eq!(memory.load().unwrap(), expected);
    drop(memory);
    assert_eq!(journal.cells().unwrap(), expected);
    assert!(journal.octets().starts_with(&header(COMPACTED)));
}

/// A journal with one commit after its compaction, its octets, and the end of its first batch.
fn compacted() -> (Journal, Vec<u8>, usize) {
    let journal = Journal::new([Batch::of("kept", vec![1, 2, 3]), cell(20_000, 1)]);
    let mut memory = journal.open().unwrap();
    memory.commit(cell(20_000, 2)).unwrap();
    memory.commit(Batch::of("cell", vec![4])).unwrap();
    while !journal.octets().starts_with(&header(COMPACTED)) {
        memory.commit(cell(10_000, 3)).unwrap();
    }
    let end = journal.octets().len();
    memory.commit(Batch::of("kept", vec![5])).unwrap();
    let octets = journal.octets();
    (journal, octets, end)
}

#[test]
fn a_compacted_journal_that_is_cut_counts_as_damaged() {
    let (journal, whole, end) = compacted();
    let kept = |journal: &Journal| journal.cells().map(|cells| cells["kept"].to_vec());
    assert_eq!(kept(&journal).unwrap(), [5]);
    for length in (header(BEGUN).len()..whole.len()).filter(|at| *at > end - 3 || at % 97 == 0) {
        match replay(&whole[..length]) {
            Ok(replay) => assert!(length >= end && replay.cells["kept"].to_vec() == [1, 2, 3], "at {length}"),
            Err(why) => assert!(length < end, "cut to {length}: {why}"),
        }
    }
    let mut wrong = whole;
    wrong[end - 1] ^= 1;
    wrong.truncate(end);
    fs::write(&journal.path, &wrong).unwrap();
    let fault = kept(&journal).unwrap_err();
    assert!(fault.why.contains("is damaged") && fault.next.contains("restore"), "{fault}");
}

#[test]
fn an_interrupted_compaction_leaves_the_journal_unchanged() {
    let journal = Journal::new(some_batches(3));
    fs::write(beside(&journal.path, ".new"), "landfall-memory 2 compacted\nLFb").unwrap();
    assert_eq!(journal.cells().unwrap(), journal.states[3].1);
}

#[test]
fn a_failed_compaction_does_not_fail_the_commit() {
    let journal = Journal::new([]);
    // This folder blocks the new file.
    fs::create_dir_all(beside(&journal.path, ".new")).unwrap();
    let mut memory = journal.open().unwrap();
    for number in 0..20 {
        memory.commit(cell(10_000, number)).unwrap();
    }
    assert!(journal.octets().starts_with(&header(BEGUN)));
    assert_eq!(memory.load().unwrap()["cell"].to_vec(), [19; 10_000]);
}

#[test]
fn older_and_newer_versions_are_refused() {
    let journal = Journal::new([]);
    for (file, version) in
        [("landfall-memory 1 00ff 12\n{\"eid\": ...}", "1"), ("landfall-memory 3 begun\n", "3")]
    {
        fs::write(&journal.path, file).unwrap();
        let fault = journal.open().unwrap_err();
        assert!(fault.why.contains(&format!("version {version}")), "{fault}");
        assert!(fault.next.contains("move the file and its .lock file away"), "{fault}");
    }
    fs::write(&journal.path, "something else altogether\n").unwrap();
    assert!(journal.open().unwrap_err().why.contains("not a memory file"));
    fs::write(&journal.path, "landfall-memory 2 began\n").unwrap();
    assert!(journal.open().unwrap_err().why.contains("first line is damaged"));
    assert!(FileMemory::is_memory(&journal.path).unwrap());
    fs::write(&journal.path, "landfall").unwrap();
    assert!(!FileMemory::is_memory(&journal.path).unwrap());
}

#[test]
fn a_memory_without_its_file_still_has_its_mark() {
    let journal = Journal::new([]);
    assert!(!FileMemory::has_mark(&journal.path));
    journal.open().unwrap().commit(cell(1, 1)).unwrap();
    fs::remove_file(&journal.path).unwrap();
    assert!(FileMemory::has_mark(&journal.path));
}

#[test]
fn a_memory_has_one_user_at_a_time() {
    let journal = Journal::new([cell(1, 1)]);
    let first = journal.open().unwrap();
    assert!(journal.open().unwrap_err().why.contains("another process"));
    drop(first);
    journal.open().unwrap();
}

#[test]
fn a_commit_to_a_truncated_or_removed_file_is_a_fault() {
    let journal = Journal::new([cell(10, 1)]);
    let whole = journal.octets();
    let mut memory = journal.open().unwrap();
    for shorter in [&whole[..whole.len() - 1], &[]] {
        fs::write(&journal.path, shorter).unwrap();
        let fault = memory.commit(cell(10, 2)).unwrap_err();
        assert!(fault.next.contains("another program"), "{fault}");
        assert_eq!(journal.octets(), shorter);
    }
    fs::remove_file(&journal.path).unwrap();
    let fault = memory.commit(cell(10, 2)).unwrap_err();
    assert!(fault.next.contains("another program"), "{fault}");
    assert!(!journal.path.exists());
    // A longer file is the remainder of an interrupted commit.
    fs::write(&journal.path, [whole, vec![0; 5]].concat()).unwrap();
    memory.commit(cell(10, 2)).unwrap();
    drop(memory);
    assert_eq!(journal.cells().unwrap()["cell"].to_vec(), [2; 10]);
}

#[test]
fn a_folder_that_cannot_be_created_is_a_fault() {
    let journal = Journal::new([cell(1, 1)]);
    let fault = FileMemory::open(journal.path.join("below a file/card")).unwrap_err();
    assert!(fault.what.starts_with("cannot use"), "{fault}");
}

#[test]
fn a_file_that_cannot_be_read_is_not_an_empty_memory() {
    let folder = tempfile::tempdir().unwrap();
    // The content of a folder cannot be read as a file.
    let path = folder.path().join("card.state");
    fs::create_dir(&path).unwrap();
    for fault in [
        FileMemory::open(&path).unwrap_err(),
        FileMemory::check(&path).unwrap_err(),
        FileMemory::accept(&path).unwrap_err(),
    ] {
        assert_eq!(fault.what, format!("cannot use {}", path.display()));
        assert!(fault.next.starts_with("check the path and its permissions"), "{fault}");
    }
}

/// The child process of the next test. It commits until the disk is full, prints the fault, and
/// commits once more.
#[test]
#[ignore = "the child of a_full_disk_leaves_the_cells_as_they_were"]
fn child_on_a_full_disk() {
    let Ok(path) = std::env::var("LANDFALL_TEST_FULL_DISK") else { return };
    let mut memory = FileMemory::open(path).unwrap();
    let fault = (0..20).find_map(|number| memory.commit(cell(20_000 + number, 7)).err()).unwrap();
    println!("first: {fault}");
    println!("cells: {}", memory.load().unwrap()["cell"].len());
    memory.commit(Batch::of("small", vec![1])).unwrap();
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_cells_as_they_were() {
    // The live octets prevent a compaction.
    let journal = Journal::new([Batch::of("image", vec![1; 300_000])]);
    // A limit on the file size acts like a full disk: some octets are written, and then an error
    // occurs.
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 700; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "file_memory::tests::child_on_a_full_disk", "--ignored", "--nocapture"])
        .env("LANDFALL_TEST_FULL_DISK", &journal.path)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(child.status.success(), "{output}{}", String::from_utf8_lossy(&child.stderr));
    assert!(output.contains("the old content is intact"), "{output}");
    let cells = journal.cells().unwrap();
    assert!(output.contains(&format!("cells: {}", cells["cell"].len())), "{output}");
    assert!((20_000..20_020).contains(&cells["cell"].len()));
    assert_eq!(cells["small"].to_vec(), [1]);
    assert_eq!(cells["image"].len(), 300_000);
}
