# SPDX-License-Identifier: Apache-2.0
"""PySpark: a table of prompts in, a table of pictures out, through the gateway to the JVM.

spark-submit --jars asg4j-spark.jar,... example.py OUT [NAME=VALUE ...]
"""

from __future__ import annotations

import sys

from pyspark.sql import DataFrame, SparkSession


class AsgPictures:
    """Pictures of the rows of a table; options as in io.github.asg4j.spark.AsgPictures."""

    def __init__(self, spark: SparkSession, options: dict[str, str]) -> None:
        self._spark = spark
        self._java = spark._jvm.io.github.asg4j.spark.AsgPictures(options)

    def draw(self, rows: DataFrame) -> DataFrame:
        """The columns that are kept, key, request, png, bytes, sha256, pixels_sha256, error."""
        return DataFrame(self._java.draw(rows._jdf), self._spark)

    def names(self, rows: DataFrame) -> DataFrame:
        """All columns, key, request, error; nothing is drawn."""
        return DataFrame(self._java.names(rows._jdf), self._spark)


def main(out: str, *options: str) -> None:
    """Draws four pictures and writes those that are round into a table."""
    spark = SparkSession.builder.appName("asg4j example").getOrCreate()
    pictures = AsgPictures(spark, {"keep": "id", **dict(o.split("=", 1) for o in options)})
    spark.sql("""
        SELECT id, concat('a ', colour, ' ', shape, ' on grass') AS prompt, CAST(id AS INT) AS seed
        FROM VALUES (1, 'red', 'ball'), (2, 'red', 'cube'), (3, 'blue', 'ball'), (4, 'blue', 'cube') AS t(id, colour, shape)
    """).createOrReplaceTempView("prompts")
    pictures.draw(spark.table("prompts")).createOrReplaceTempView("pictures")
    spark.sql("""
        SELECT id, prompt, png, sha256 FROM prompts JOIN pictures USING (id)
        WHERE error IS NULL AND prompt LIKE '%ball%'
    """).write.mode("overwrite").parquet(out)
    spark.read.parquet(out).selectExpr("id", "prompt", "length(png)", "sha256").orderBy("id").show(truncate=False)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
