"""Dense detection heads: GFL, ATSS and FCOS."""
