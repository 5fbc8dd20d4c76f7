//! `points.parquet`: the columns of `points.csv` with their types (feature `parquet`).

use crate::error::{Error, Result};
use crate::sweep::plan::MODE;
use crate::sweep::{METRICS, Row, Table, axis};
use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use std::sync::Arc;

/// A column: its name and a value for every row, where it has one.
enum Column {
    Whole(String, Vec<Option<i64>>),
    Number(String, Vec<Option<f64>>),
    Text(String, Vec<Option<String>>),
}

/// The whole file.
///
/// # Errors
/// Only where the format cannot hold it, which would be a bug.
pub fn points(table: &Table) -> Result<Vec<u8>> {
    let columns = columns(table);
    write(&columns).map_err(|why| Error::Run(format!("points.parquet: {why}")))
}

fn columns(table: &Table) -> Vec<Column> {
    let rows: Vec<Row> = table.rows().collect();
    let whole = |name: &str, of: &dyn Fn(&Row) -> usize| {
        Column::Whole(name.into(), rows.iter().map(|row| i64::try_from(of(row)).ok()).collect())
    };
    let text = |name: &str, of: &dyn Fn(&Row) -> Option<String>| {
        Column::Text(name.into(), rows.iter().map(of).collect())
    };
    let mut columns = vec![
        whole("point", &|row| table.cells()[row.cell].point),
        whole("seed", &|row| row.seed as usize),
        text("router", &|row| Some(table.cells()[row.cell].router.clone())),
    ];
    for key in table.plan.keys.iter().filter(|key| *key != MODE) {
        columns.push(setting(table, &rows, key));
    }
    for (place, metric) in METRICS.iter().enumerate() {
        let value = |row: &Row| row.outcome.as_ref().ok().and_then(|values| values[place]);
        columns.push(Column::Number(metric.name.into(), rows.iter().map(value).collect()));
    }
    let status = |row: &Row| Some(if row.outcome.is_ok() { "ok" } else { "failed" }.to_string());
    columns.push(text("status", &status));
    columns.push(text("reason", &|row| row.outcome.as_ref().err().cloned()));
    columns
}

/// A swept key: numbers where all its values are.
fn setting(table: &Table, rows: &[Row], key: &str) -> Column {
    let settings = |row: &Row| table.plan.points[table.cells()[row.cell].point].settings.get(key);
    let is_number = rows.iter().filter_map(settings).all(|value| axis::number(value).is_some());
    if is_number {
        let number = |row: &Row| settings(row).and_then(axis::number);
        Column::Number(key.into(), rows.iter().map(number).collect())
    } else {
        let text = |row: &Row| settings(row).map(axis::show);
        Column::Text(key.into(), rows.iter().map(text).collect())
    }
}

fn write(columns: &[Column]) -> parquet::errors::Result<Vec<u8>> {
    let fields: parquet::errors::Result<Vec<_>> =
        columns.iter().map(|column| field(column).map(Arc::new)).collect();
    let schema = Type::group_type_builder("points").with_fields(fields?).build()?;
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, Arc::new(schema), Arc::default())?;
    let mut group = writer.next_row_group()?;
    for column in columns {
        fill(&mut group, column)?;
    }
    group.close()?;
    writer.close()?;
    Ok(file)
}

fn field(column: &Column) -> parquet::errors::Result<Type> {
    let (name, physical, converted) = match column {
        Column::Whole(name, _) => (name, Physical::INT64, ConvertedType::NONE),
        Column::Number(name, _) => (name, Physical::DOUBLE, ConvertedType::NONE),
        Column::Text(name, _) => (name, Physical::BYTE_ARRAY, ConvertedType::UTF8),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_converted_type(converted)
        .build()
}

fn fill(
    group: &mut SerializedRowGroupWriter<'_, &mut Vec<u8>>,
    column: &Column,
) -> parquet::errors::Result<()> {
    let Some(mut out) = group.next_column()? else { return Ok(()) };
    match column {
        Column::Whole(_, values) => {
            let (levels, values) = present(values);
            out.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
        }
        Column::Number(_, values) => {
            let (levels, values) = present(values);
            out.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
        }
        Column::Text(_, values) => {
            let (levels, values) = present(values);
            let values: Vec<ByteArray> =
                values.iter().map(|text| ByteArray::from(text.as_str())).collect();
            out.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
        }
    }
    out.close()
}

/// Which rows have a value (level 1), and those values.
fn present<T: Clone>(values: &[Option<T>]) -> (Vec<i16>, Vec<T>) {
    let levels = values.iter().map(|value| i16::from(value.is_some())).collect();
    (levels, values.iter().flatten().cloned().collect())
}
