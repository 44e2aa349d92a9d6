#!/bin/sh
exec "${HOME}/x" $${y} $HOME
