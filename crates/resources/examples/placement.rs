//! Measures placement against public vector packing instances.
//!
//! `cargo run --release -p resources --example placement -- FOLDER`, where FOLDER
//! holds `*.vbp` and `heuristics.tsv` (instance, lower bound, optimum, first fit,
//! …). Prints how many bins more than the optimum are used, on average over the
//! instances whose optimum is known. *As they come* is what a platform that
//! places orders one by one can do; *largest first* is what it could do with a
//! batch.

use std::error::Error;
use std::fs;
use std::path::Path;

use resources::placement::room_left;

type Vector = Vec<i64>;

/// The capacity of a bin and the items, one by one.
fn read(path: &Path) -> Result<(Vector, Vec<Vector>), Box<dyn Error>> {
    let text = fs::read_to_string(path)?;
    let mut lines = text.lines().skip(1);
    let numbers = |line: &str| line.split_whitespace().map(str::parse).collect::<Result<Vector, _>>();
    let capacity = numbers(lines.next().unwrap_or_default())?;
    let mut items = Vec::new();
    for line in lines.skip(1) {
        let mut item = numbers(line)?;
        let times = item.pop().unwrap_or(0);
        items.extend((0..times).map(|_| item.clone()));
    }
    Ok((capacity, items))
}

/// Bins used when each item goes where `choose` says, or into a new bin.
fn pack(capacity: &Vector, items: &[Vector], choose: impl Fn(&[Vector], &Vector) -> Option<usize>) -> usize {
    let mut bins: Vec<Vector> = Vec::new();
    for item in items {
        let at = choose(&bins, item).unwrap_or_else(|| {
            bins.push(capacity.clone());
            bins.len() - 1
        });
        if let Some(bin) = bins.get_mut(at) {
            bin.iter_mut().zip(item).for_each(|(free, needed)| *free -= needed);
        }
    }
    bins.len()
}

fn first(bins: &[Vector], item: &Vector) -> Option<usize> {
    bins.iter().position(|free| free.iter().zip(item).all(|(free, needed)| free >= needed))
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("name the folder with the instances")?;
    let folder = Path::new(&folder);
    let table = fs::read_to_string(folder.join("heuristics.tsv"))?;
    let mut sums = [0.0f64; 4];
    let mut counted = 0.0;
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (Some(name), Some(optimum)) = (columns.first(), columns.get(2).and_then(|text| text.parse::<f64>().ok()))
        else {
            continue;
        };
        if optimum <= 0.0 {
            continue;
        }
        let (capacity, mut items) = read(&folder.join(format!("{name}.vbp")))?;
        let best = |bins: &[Vector], item: &Vector| {
            let rooms = bins.iter().enumerate().filter_map(|(n, free)| Some((room_left(free, item, &capacity)?, n)));
            rooms.min().map(|(_, n)| n)
        };
        let mut used = vec![pack(&capacity, &items, first), pack(&capacity, &items, best)];
        items.sort_by_key(|item| {
            std::cmp::Reverse(
                item.iter().zip(&capacity).map(|(needed, all)| needed * needed * 1_000 / (all * all)).sum::<i64>(),
            )
        });
        used.extend([pack(&capacity, &items, first), pack(&capacity, &items, best)]);
        for (sum, used) in sums.iter_mut().zip(used) {
            *sum += used as f64 / optimum - 1.0;
        }
        counted += 1.0;
    }
    for (what, sum) in [
        "first fit, as they come",
        "our best fit, as they come",
        "first fit, largest first",
        "our best fit, largest first",
    ]
    .iter()
    .zip(sums)
    {
        println!("{what:<28} {:>6.2} % over the optimum", 100.0 * sum / counted);
    }
    println!("{counted} instances");
    Ok(())
}
