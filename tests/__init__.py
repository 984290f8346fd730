"""Tests of the harness itself, planted bugs above all."""
