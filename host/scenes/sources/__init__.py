"""Files of many kinds as bands on one grid."""
