//! Two texts line by line, for people.

/// The lines of both: `-` only expected, `+` only found.
pub fn lines(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), found.lines().collect());
    // `common[i][j]`: the length of the longest common subsequence from these lines on.
    let mut common = vec![vec![0_usize; found.len() + 1]; expected.len() + 1];
    for i in (0..expected.len()).rev() {
        for j in (0..found.len()).rev() {
            common[i][j] =
                if expected[i] == found[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let mut text = String::new();
    let mut put = |mark: char, line: &str| {
        text.push_str("    ");
        text.push(mark);
        text.push(' ');
        text.push_str(line);
        text.push('\n');
    };
    let (mut i, mut j) = (0, 0);
    while i < expected.len() || j < found.len() {
        if i < expected.len() && j < found.len() && expected[i] == found[j] {
            put(' ', expected[i]);
            (i, j) = (i + 1, j + 1);
        } else if j == found.len() || (i < expected.len() && common[i + 1][j] >= common[i][j + 1]) {
            put('-', expected[i]);
            i += 1;
        } else {
            put('+', found[j]);
            j += 1;
        }
    }
    text
}
