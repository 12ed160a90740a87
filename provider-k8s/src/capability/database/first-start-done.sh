# The last step of the first start; the entrypoint sources or runs it. See start.sh.
sync
rm -f "$VOLUME/.first-start"
